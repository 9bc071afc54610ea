import { useState } from 'react'
import { Notice } from '@/components/ui/Notice'

/** Nothing has been decided yet: shows how to post the first transaction. */
export function FirstTransaction() {
  const [command] = useState(() => curl(location.origin, new Date()))
  return (
    <Notice tone="plain" title="No transactions yet">
      <p>Post one, and its decision appears here at once:</p>
      <pre tabIndex={0} aria-label="The command">
        {command}
      </pre>
    </Notice>
  )
}

function curl(origin: string, now: Date) {
  const event = {
    transaction_id: 'first',
    tx_datetime: `${now.toISOString().slice(0, 19)}Z`,
    customer_id: '596',
    terminal_id: '3156',
    tx_amount: 57.16,
  }
  const fields = Object.entries(event).map(([name, value]) => `"${name}": ${JSON.stringify(value)}`)
  return [
    `curl ${origin}/v1/transactions \\`,
    `  -H 'content-type: application/json' \\`,
    `  -d '{${fields.join(',\n       ')}}'`,
  ].join('\n')
}

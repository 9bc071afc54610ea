import { useState } from 'react'
import { exampleEvent } from '@/api/examples'
import { Command } from '@/components/ui/Command'
import { curl, wrappedJson } from '@/components/ui/curl'
import { Link } from '@/components/ui/Link'
import { Notice } from '@/components/ui/Notice'

/** Nothing has been decided yet: shows how to post the first transaction to the detector that runs. */
export function FirstTransaction({ detector }: { detector: string }) {
  const [now] = useState(() => new Date().toISOString())
  const event = exampleEvent(detector, 'first', now)
  const api = <Link href="/docs">The whole API</Link>
  if (!event) {
    return (
      <Notice tone="plain" title="No transactions yet" actions={api}>
        <p>
          Post one as JSON, with the fields of <code>{detector}</code>, to <code>{location.origin}/v1/transactions</code>,
          and its decision appears here at once.
        </p>
      </Notice>
    )
  }
  const command = curl({
    url: `${location.origin}/v1/transactions`,
    headers: ['content-type: application/json'],
    body: wrappedJson(event),
  })
  return (
    <Notice tone="plain" title="No transactions yet" actions={api}>
      <p>Post one, and its decision appears here at once:</p>
      <Command text={command} label="The command" />
    </Notice>
  )
}

import { useEffect, useState } from 'react'

/** A command to run in a shell, with a button that copies it where the browser allows that. */
export function Command({ text, label }: { text: string; label: string }) {
  return (
    <div className="command">
      <pre tabIndex={0} role="region" aria-label={label}>
        {text}
      </pre>
      {/* Absent on a page that came over plain HTTP from another machine. */}
      {'clipboard' in navigator && <CopyButton text={text} />}
    </div>
  )
}

const COPIED_MS = 1_500

function CopyButton({ text }: { text: string }) {
  const [said, setSaid] = useState('Copy')
  useEffect(() => {
    if (said === 'Copy') return
    const timer = setTimeout(() => setSaid('Copy'), COPIED_MS)
    return () => clearTimeout(timer)
  }, [said])
  const copy = () => {
    navigator.clipboard.writeText(text).then(
      () => setSaid('Copied'),
      () => setSaid('Not allowed'),
    )
  }
  return (
    <button type="button" className="button copy" onClick={copy}>
      {said}
    </button>
  )
}

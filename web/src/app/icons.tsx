export function FlagIcon() {
  return (
    <svg className="icon flag" viewBox="0 0 20 20" aria-hidden="true">
      <path d="M4 1.5v17" className="flag-pole" />
      <path d="M5.5 2.5h11.2l-3.2 4.2 3.2 4.3H5.5Z" className="flag-cloth" />
    </svg>
  )
}

export function SystemIcon() {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d="M2 3h12v8H2ZM5.5 14h5" />
    </svg>
  )
}

export function LightIcon() {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
      <circle cx="8" cy="8" r="3" />
      <path d="M8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8 13 13M3 13l1.2-1.2M11.8 4.2 13 3" />
    </svg>
  )
}

export function DarkIcon() {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d="M13.5 9.6A5.8 5.8 0 0 1 6.4 2.5a5.8 5.8 0 1 0 7.1 7.1Z" />
    </svg>
  )
}

import { readFired } from './fired'
import './fired.css'

/** What fired, in a line; what changed nothing is muted and says so. */
export function FiredRules({ rules }: { rules: readonly string[] }) {
  return (
    <span className="fired">
      {rules.map((rule) => (
        <FiredRule key={rule} listed={rule} />
      ))}
    </span>
  )
}

export function FiredRule({ listed }: { listed: string }) {
  const { name, isList, inShadow } = readFired(listed)
  return (
    <span className="fired-rule" data-shadow={inShadow || undefined}>
      {isList && <span className="fired-list">on list </span>}
      {name}
      {inShadow && (
        <>
          {' '}
          <span className="fired-shadow" title="It fired in the shadow: noted, and nothing was changed by it.">
            shadow
          </span>
        </>
      )}
    </span>
  )
}

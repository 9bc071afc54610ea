import { signOut, useAccess } from '@/api/access'
import './access.css'

/** Nothing of what was shown stays, and no socket. */
function leave() {
  location.reload()
}

/** Who is signed in, and the way out; nothing where nobody is asked who they are. */
export function WhoAmI() {
  const { me } = useAccess()
  if (me?.name == null) return null
  const roles = me.roles.join(', ') || 'no role'
  return (
    <span className="who">
      <span className="who-name" title={`${me.name}, ${roles}`}>
        {me.name}
        <span className="unseen">, signed in as {roles}</span>
      </span>
      <button type="button" className="button" onClick={() => void signOut().then(leave)}>
        Sign out
      </button>
    </span>
  )
}

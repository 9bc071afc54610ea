import { Charts } from './Charts'
import { DecisionsPanel } from './DecisionsPanel'
import { Tiles } from './Tiles'

export function LiveView() {
  return (
    <div className="live">
      <h1 className="unseen">Live decisions</h1>
      <Tiles />
      <Charts />
      <DecisionsPanel />
    </div>
  )
}

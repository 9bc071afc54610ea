import { Dialog } from '@/components/ui/Dialog'

interface Props {
  keys: readonly (readonly [string, string])[]
  onClose: () => void
}

export function KeysDialog({ keys, onClose }: Props) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl className="keys">
        {keys.map(([key, does]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog" className="dialog-actions">
        <button type="submit" className="button">
          Close
        </button>
      </form>
    </Dialog>
  )
}

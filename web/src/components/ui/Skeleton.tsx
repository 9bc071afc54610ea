/** Holds the place of a value that is not here yet; as high as the line of text that will replace it. */
export function Skeleton({ width }: { width: string }) {
  return <span className="skeleton" style={{ width }} aria-hidden="true" />
}

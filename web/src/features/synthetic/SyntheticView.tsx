export function SyntheticView() {
  return <h1>Synthetic</h1>
}

export function AlertView({ id }: { id: string }) {
  return <h1>Alert {id}</h1>
}

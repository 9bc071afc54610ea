export function AlertsView() {
  return <h1>Alerts</h1>
}

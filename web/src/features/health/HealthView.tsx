export function HealthView() {
  return <h1>Health</h1>
}

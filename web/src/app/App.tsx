import { lazy, Suspense, useEffect } from 'react'
import { useAccess } from '@/api/access'
import { useLive } from '@/api/store'
import { Link } from '@/components/ui/Link'
import { usePlace } from '@/components/ui/location'
import { Notice } from '@/components/ui/Notice'
import { SignIn } from '@/features/access/SignIn'
import { LiveView } from '@/features/live/LiveView'
import { TransactionView } from '@/features/transactions/TransactionView'
import { StaleNotice, Unreachable, useUnreachable } from './ConnectionNotice'
import { Header } from './Header'
import { readRoute, titleOf, type Route } from './routes'
import { StatusBar } from './StatusBar'

/** Pages of their own: who watches payments need not wait for them. */
const DocsView = lazy(() => import('@/features/docs/DocsView').then((loaded) => ({ default: loaded.DocsView })))
const AlertsView = lazy(() => import('@/features/alerts/AlertsView').then((loaded) => ({ default: loaded.AlertsView })))
const AlertView = lazy(() => import('@/features/alerts/AlertView').then((loaded) => ({ default: loaded.AlertView })))
const RulesView = lazy(() => import('@/features/rules/RulesView').then((loaded) => ({ default: loaded.RulesView })))
const ListView = lazy(() => import('@/features/rules/ListView').then((loaded) => ({ default: loaded.ListView })))
const ModelsView = lazy(() => import('@/features/models/ModelsView').then((loaded) => ({ default: loaded.ModelsView })))
const RetrainingView = lazy(() =>
  import('@/features/retraining/RetrainingView').then((loaded) => ({ default: loaded.RetrainingView })),
)
const AuditView = lazy(() => import('@/features/audit/AuditView').then((loaded) => ({ default: loaded.AuditView })))
const SyntheticView = lazy(() =>
  import('@/features/synthetic/SyntheticView').then((loaded) => ({ default: loaded.SyntheticView })),
)
const HealthView = lazy(() => import('@/features/health/HealthView').then((loaded) => ({ default: loaded.HealthView })))

export function App() {
  const { path } = usePlace()
  const phase = useLive((state) => state.connection.phase)
  const route = readRoute(path)
  const title = titleOf(route)
  useEffect(() => {
    document.title = title
  }, [title])
  return (
    <div className="page" data-connection={phase} data-view={route.view}>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <Header view={route.view} />
      <main id="main">
        <StaleNotice />
        <Suspense fallback={<p className="unseen">Loading</p>}>
          <View route={route} />
        </Suspense>
      </main>
      <StatusBar />
    </div>
  )
}

function View({ route }: { route: Route }) {
  const unreachable = useUnreachable()
  const { wanted } = useAccess()
  if (wanted) return <SignIn />
  switch (route.view) {
    case 'live':
      return unreachable ? <Unreachable /> : <LiveView />
    case 'transaction':
      return <TransactionView id={route.id} />
    case 'alerts':
      return <AlertsView />
    case 'alert':
      return <AlertView key={route.id} id={route.id} />
    case 'rules':
      return <RulesView />
    case 'list':
      return <ListView key={route.id} name={route.id} />
    case 'models':
      return <ModelsView />
    case 'retraining':
      return <RetrainingView />
    case 'audit':
      return <AuditView />
    case 'synthetic':
      return <SyntheticView />
    case 'health':
      return <HealthView />
    case 'docs':
      return <DocsView />
    case 'unknown':
      return (
        <Notice tone="plain" title="There is no such page" actions={<Link href="/">To the live page</Link>}>
          <p>Nothing is shown at this address.</p>
        </Notice>
      )
  }
}

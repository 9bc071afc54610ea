import { lazy, Suspense, useEffect } from 'react'
import { useLive } from '@/api/store'
import { Link } from '@/components/ui/Link'
import { usePlace } from '@/components/ui/location'
import { Notice } from '@/components/ui/Notice'
import { LiveView } from '@/features/live/LiveView'
import { TransactionView } from '@/features/transactions/TransactionView'
import { StaleNotice, Unreachable, useUnreachable } from './ConnectionNotice'
import { Header } from './Header'
import { readRoute, titleOf, type Route } from './routes'
import { StatusBar } from './StatusBar'

/** Of its own: who watches payments seldom reads documentation. */
const DocsView = lazy(() => import('@/features/docs/DocsView').then((loaded) => ({ default: loaded.DocsView })))

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
        <View route={route} />
      </main>
      <StatusBar />
    </div>
  )
}

function View({ route }: { route: Route }) {
  const unreachable = useUnreachable()
  switch (route.view) {
    case 'live':
      return unreachable ? <Unreachable /> : <LiveView />
    case 'transaction':
      return <TransactionView id={route.id} />
    case 'docs':
      return (
        <Suspense fallback={<p className="unseen">Loading</p>}>
          <DocsView />
        </Suspense>
      )
    case 'unknown':
      return (
        <Notice tone="plain" title="There is no such page" actions={<Link href="/">To the live page</Link>}>
          <p>Nothing is shown at this address.</p>
        </Notice>
      )
  }
}

import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import 'uplot/dist/uPlot.min.css'
import './index.css'
import { findOutWho } from './api/access'
import { liveFeed } from './api/live'
import { App } from './app/App'
import { applyTheme } from './app/theme'

applyTheme()
liveFeed.start()
void findOutWho()

const root = document.getElementById('root')
if (!root) throw new Error('index.html has no #root')
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
)

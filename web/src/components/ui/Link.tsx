import type { AnchorHTMLAttributes, MouseEvent } from 'react'
import { navigate } from './location'

type Props = AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }

/** Stays on the page for a plain click; a click with a modifier (new tab, download) is the browser's. */
export function Link({ href, ...rest }: Props) {
  const follow = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    navigate(href)
  }
  return <a href={href} onClick={follow} {...rest} />
}

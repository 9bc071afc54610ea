interface Props {
  /** As the server drew it, with its heading. */
  svg: string
  title: string
  description: string
}

/**
 * A picture that the server drew, put in as it is so that it takes its colours from the page. That is safe because it comes
 * from our own server alone, which draws it from numbers. The only words in it that others may have chosen are names and
 * values of columns, and the server escapes all of them: they can be text of the picture and never a part of its markup.
 */
export function Picture({ svg, title, description }: Props) {
  return (
    <figure className="picture">
      <figcaption className="unseen">
        {title}. {description}
      </figcaption>
      <div dangerouslySetInnerHTML={{ __html: svg }} />
    </figure>
  )
}

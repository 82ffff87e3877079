/** A list as API servers write it: none of its parts may be relied on to be there. */
export interface KubernetesList<T> {
  readonly metadata?: {
    readonly continue?: string;
    readonly remainingItemCount?: number;
    readonly resourceVersion?: string;
  };
  /** An empty list may be said as null, Go's encoding of a nil slice: PartialObjectMetadataList does so. */
  readonly items?: readonly T[] | null;
}

export function itemsOf<T>({ items }: KubernetesList<T>): readonly T[] {
  return items ?? [];
}

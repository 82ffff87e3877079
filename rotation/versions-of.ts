/** The versions that servers, or etcd's members, run, each once. One that can't be seen has none. */
export function versionsOf(all: readonly { readonly version: string | undefined }[]): readonly string[] {
  return [...new Set(all.flatMap(({ version }) => (version === undefined || version === "" ? [] : [version])))];
}

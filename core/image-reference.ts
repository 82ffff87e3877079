/** References to container images, as far as this package must understand them: the OCI distribution specification's grammar. */

/** `host[:port]/path`: what an image is pushed to, without a tag and without a digest. */
const repositoryForm =
  /^(?=.{1,255}$)[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:\d{1,5})?(\/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)+$/;
const tagForm = /^\w[\w.-]{0,127}$/;
const digestForm = /@sha256:[0-9a-f]{64}$/;

/**
 * What is wrong with a reference that must name one image for ever; undefined when nothing is. A tag can be moved to other
 * bytes without a trace: then control-plane hosts that pull at different times run different plugins, and no preview shows it.
 */
export function pinnedReferenceProblem(reference: string): string | undefined {
  const digest = digestForm.exec(reference)?.[0];
  if (digest === undefined) {
    return `is "${reference}", which names no digest: a tag can be moved to other bytes without a trace; write repository@sha256:<64 hex digits>`;
  }
  const [, name = "", tag] = /^(.*?)(?::([^/:]*))?$/.exec(reference.slice(0, -digest.length)) ?? [];
  if (!repositoryForm.test(name) || (tag !== undefined && !tagForm.test(tag)))
    return `is "${reference}"; write host/path@sha256:<64 hex digits>`;
  return undefined;
}

/** What is wrong with the name that an image is pushed to; undefined when nothing is. */
export function repositoryProblem(repository: string): string | undefined {
  if (repositoryForm.test(repository)) return undefined;
  return `is "${repository}"; write the registry's host and a path in small letters, without scheme, tag and digest: registry.example/team/kms-etcd-plugin`;
}

export function tagProblem(tag: string): string | undefined {
  return tagForm.test(tag)
    ? undefined
    : `is "${tag}"; write at most 128 letters, digits, "_", "." and "-", not beginning with "." or "-"`;
}

/** The registry's host, with its port: where a login belongs. */
export function registryHost(repository: string): string {
  return repository.split("/", 1)[0] ?? "";
}

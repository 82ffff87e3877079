/** REWRITE: every object is stored again with the key that the API servers encrypt with, without its content leaving them. */
import type { Progress, RewriteResult } from "../../stored-objects";
import type { ApiClient } from "./api-client";
import { noOpPatch, resourceVersionOf } from "./no-op-patch";
import { runPass } from "./object-pass";
import type { ServedResource } from "./resources";

/** Safe to repeat: what is stored with the right key already stays as it is. */
export async function rewriteObjects(
  clients: readonly ApiClient[],
  resources: readonly ServedResource[],
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<RewriteResult> {
  let rewritten = 0;
  const { objects, failures } = await runPass({
    clients,
    resources,
    ask: noOpPatch,
    // 404: deleted meanwhile. 409: someone else wrote it meanwhile, and every server writes with the new key by now.
    isAnswer: (status) => status === 404 || status === 409,
    onAnswer: (object, response) => {
      if (response.status === 200 && resourceVersionOf(response) !== object.resourceVersion) rewritten += 1;
    },
    onProgress,
    signal,
  });
  return { offered: objects, rewritten, failures };
}

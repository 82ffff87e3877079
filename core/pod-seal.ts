/**
 * The seal of a static pod's manifest: the hash of everything else in it. By it the engine tells a manifest that it may write
 * anew from one that somebody has edited since. Here, because components make manifests that the engine shall take for its own.
 */
import { createHash } from "node:crypto";
import { staticPodAnnotations } from "./static-pod";

/** Of the parsed manifest, with an empty text in the seal's place. */
export function podContentHash(content: unknown): string {
  return `sha256:${createHash("sha256").update(JSON.stringify(content)).digest("hex")}`;
}

/** `pod` with its seal. */
export function sealedPod(pod: Record<string, unknown>): Record<string, unknown> {
  const metadata = pod["metadata"] as Record<string, unknown>;
  const withSeal = (seal: string) => ({
    ...pod,
    metadata: {
      ...metadata,
      annotations: { ...(metadata["annotations"] as object | undefined), [staticPodAnnotations.contentHash]: seal },
    },
  });
  return withSeal(podContentHash(withSeal("")));
}

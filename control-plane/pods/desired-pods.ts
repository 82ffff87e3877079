/** Decides, from a manifest directory's files and the pods that are known, which pods a host should run. Pure. */
import { describeError } from "../../core/errors";
import { manifestHash, type PodManifest, parsePodManifest } from "./pod-manifest";

/** A file of a manifest directory. */
export interface ManifestFile {
  readonly file: string;
  readonly content: string;
}

/** A pod and the file that it comes from. */
export interface DesiredPod {
  readonly file: string;
  readonly manifest: PodManifest;
}

/** A file that can't be run, and why. */
export interface ManifestProblem {
  readonly file: string;
  readonly message: string;
}

export interface DesiredPods {
  /** By pod name. */
  readonly pods: ReadonlyMap<string, DesiredPod>;
  readonly problems: readonly ManifestProblem[];
}

/**
 * 1. A file whose name starts with a dot is not there: that is how a manifest is written in place and then renamed.
 *    Every other file counts, whatever its ending, as with a kubelet: a backup copy in the directory is a second pod.
 * 2. A file that can't be run leaves the pod that came from it as it was, and is a problem.
 * 3. Of two files with one pod name, the file that already has the pod keeps it, else the first by name; the other is a problem.
 */
export function desiredPods(files: readonly ManifestFile[], known: ReadonlyMap<string, DesiredPod>): DesiredPods {
  const problems: ManifestProblem[] = [];
  const candidates: DesiredPod[] = [];
  const knownByFile = new Map([...known.values()].map((pod) => [pod.file, pod]));
  // 1.
  const visible = files.filter(({ file }) => !file.startsWith(".")).sort((a, b) => (a.file < b.file ? -1 : 1));
  for (const { file, content } of visible) {
    const before = knownByFile.get(file);
    if (before?.manifest.hash === manifestHash(content)) {
      candidates.push(before);
      continue;
    }
    try {
      candidates.push({ file, manifest: parsePodManifest(content) });
    } catch (thrown) {
      // 2.
      problems.push({ file, message: describeError(thrown) });
      if (before) candidates.push(before);
    }
  }
  // 3.
  const pods = new Map<string, DesiredPod>();
  const owners = candidates.filter((pod) => known.get(pod.manifest.name)?.file === pod.file);
  for (const pod of [...owners, ...candidates.filter((candidate) => !owners.includes(candidate))]) {
    const other = pods.get(pod.manifest.name);
    if (other === undefined) pods.set(pod.manifest.name, pod);
    else problems.push({ file: pod.file, message: `pod ${pod.manifest.name} is already defined by ${other.file}` });
  }
  return { pods, problems };
}

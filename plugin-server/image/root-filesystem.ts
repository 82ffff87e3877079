/** What is in the image: Node and its libraries, the plugin, and the few files that glibc reads. No shell, no package manager. */
import { type Bundle, bundleEntry } from "./bundle";
import type { Libraries } from "./debian-libraries";
import type { TreeEntry } from "./file-tree";

/**
 * Both generations of the heap are kept small, which V8 otherwise fills before it cleans up: with Node's defaults the process
 * grows to 250 MB, with these it stays near 110 MB, also with a cloud's SDK and as many calls as the server takes at once.
 * Linux passes all that follows the interpreter as one argument, so the second option goes by the environment.
 */
export const interpreter = "/usr/bin/node --max-semi-space-size=4";
export const imageEnvironment = ["NODE_OPTIONS=--max-old-space-size=128"];

/** The user that the image runs as, unless a manifest says otherwise (azure.json is readable to root alone). */
export const imageUser = "65532:65532";

/** The upstream plugins' own names too: kOps' manifests give the program as their command. */
export const entryPoint = "/kms-etcd-plugin";
const otherNames = ["aws-encryption-provider", "kubernetes-kms"];

const home = "usr/lib/kms-etcd-plugin";
const documents = "usr/share/doc/kms-etcd-plugin";

export interface RootFilesystem {
  /** Changes with Node or Debian. */
  readonly base: readonly TreeEntry[];
  /** Changes with the plugin. */
  readonly plugin: readonly TreeEntry[];
}

export function rootFilesystem(
  program: Buffer,
  libraries: Libraries,
  bundle: Bundle,
  texts: { readonly bill: string; readonly licenses: string },
): RootFilesystem {
  return {
    base: [
      file("usr/bin/node", program, 0o755),
      ...libraries.entries,
      file("etc/passwd", "root:x:0:0:root:/:/none\nnonroot:x:65532:65532:nonroot:/:/none\n"),
      file("etc/group", "root:x:0:\nnonroot:x:65532:\n"),
      // /etc/hosts before DNS, which glibc does not do without being told.
      file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
      { kind: "directory", path: "tmp", mode: 0o1777 },
    ],
    plugin: [
      ...bundle.files.map(({ path, content }) =>
        file(`${home}/${path}`, content, path === bundleEntry ? 0o755 : 0o644),
      ),
      ...[entryPoint.slice(1), ...otherNames].map(
        (path): TreeEntry => ({ kind: "link", path, target: `${home}/${bundleEntry}` }),
      ),
      file(`${documents}/sbom.cdx.json`, texts.bill),
      file(`${documents}/licenses.txt`, texts.licenses),
    ],
  };
}

function file(path: string, content: Buffer | string, mode = 0o644): TreeEntry {
  return { kind: "file", path, mode, content: Buffer.from(content) };
}

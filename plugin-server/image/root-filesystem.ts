/** What is in the image: Node and its libraries, the plugin, and the few files that glibc reads. No shell, no package manager. */
import { pluginEnvironment, pluginNodeOptions } from "../../core/plugin-node-options";
import { type Bundle, bundleEntry } from "./bundle";
import type { Libraries } from "./debian-libraries";
import type { TreeEntry } from "./file-tree";

/** Linux passes all that follows the interpreter as one argument, so the first option stands there and the others go by the environment. */
const [first, ...others] = pluginNodeOptions;
export const interpreter = `/usr/bin/node ${first}`;
export const imageEnvironment = [
  `NODE_OPTIONS=${others.join(" ")}`,
  ...Object.entries(pluginEnvironment).map(([name, value]) => `${name}=${value}`),
];

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

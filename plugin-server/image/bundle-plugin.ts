/**
 * Makes the bundle from the sources. Each cloud's SDK is apart, in files that the server loads when it is configured: a
 * single file for all costs 65 ms of CPU more at every start, because V8 scans what it does not run.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { build, type Metafile } from "esbuild";
import type { BuildVersion } from "../version";
import { type Bundle, type BundledPackage, bundleEntry } from "./bundle";

const clouds = ["./providers/azure-key-vault", "./providers/aws-kms"] as const;

/** @param interpreter what the kernel starts the entry file with; of its arguments it passes the rest of the line as one. */
export async function bundlePlugin(project: string, version: BuildVersion, interpreter: string): Promise<Bundle> {
  const source = join(project, "plugin-server");
  const parts = [
    { path: bundleEntry, input: join(source, "main.ts"), external: [...clouds] },
    ...clouds.map((cloud) => ({
      path: `${cloud.slice(2)}.js`,
      input: join(source, cloud, "index.ts"),
      external: ["./azure-libraries"],
    })),
    // Loaded with the first request, not with the start.
    {
      path: "providers/azure-libraries.js",
      input: join(source, "providers", "azure-key-vault", "azure-libraries.ts"),
      external: [],
    },
  ];
  const built = await Promise.all(
    parts.map(async ({ path, input, external }) => {
      const result = await build({
        absWorkingDir: project,
        entryPoints: [input],
        external,
        bundle: true,
        write: false,
        metafile: true,
        platform: "node",
        target: "node20",
        format: "cjs",
        // Identifiers stay, so that the stack of an error can be read.
        minifyWhitespace: true,
        minifySyntax: true,
        // The licences are collected in a file of their own.
        legalComments: "none",
        define: { KMS_ETCD_BUILD: JSON.stringify(version) },
        logLevel: "error",
      });
      const text = result.outputFiles[0]?.text ?? "";
      const content = path === bundleEntry ? text.replace(/^#!.*/, `#!${interpreter}`) : text;
      return { file: { path, content: Buffer.from(content) }, metafile: result.metafile };
    }),
  );
  return {
    files: built.map(({ file }) => file),
    packages: packagesOf(
      project,
      built.map(({ metafile }) => metafile),
    ),
  };
}

function packagesOf(project: string, metafiles: readonly Metafile[]): readonly BundledPackage[] {
  const inputs = metafiles.flatMap(({ outputs }) =>
    Object.values(outputs).flatMap((output) => Object.keys(output.inputs)),
  );
  const directories = new Set(inputs.flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []));
  return [...directories].sort().map((directory) => {
    const manifest = JSON.parse(readFileSync(join(project, directory, "package.json"), "utf8")) as Readonly<
      Record<string, unknown>
    >;
    const text = (name: string) => (typeof manifest[name] === "string" ? manifest[name] : "");
    const license = text("license");
    return {
      name: text("name"),
      version: text("version"),
      license,
      licenseText: licenseText(join(project, directory)) ?? `${license}\n`,
    };
  });
}

function licenseText(directory: string): string | undefined {
  const files = readdirSync(directory).filter((name) => /^(licen[cs]e|notice|copying)/i.test(name));
  const texts = files.sort().map((name) => readFileSync(join(directory, name), "utf8"));
  return texts.length === 0 ? undefined : texts.join("\n");
}

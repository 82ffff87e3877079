/** The plugin's code as the image ships it: one file for the server, and one or two for each cloud's SDK. */
export interface BundleFile {
  /** Relative to the folder that the bundle is put in. */
  readonly path: string;
  readonly content: Buffer;
}

export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly licenseText: string;
}

export interface Bundle {
  readonly files: readonly BundleFile[];
  /** The npm packages of which code is in the bundle. */
  readonly packages: readonly BundledPackage[];
}

/** The server's file inside a bundle. */
export const bundleEntry = "main.js";

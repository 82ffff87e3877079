/**
 * The plugin with a local key whose key management service changes what stands behind it: `KEYFILE.changed` says as what. The same
 * provider, the same socket, another key_id; what was encrypted before is still decrypted.
 */
const { existsSync, readFileSync } = require("node:fs");
const { join } = require("node:path");

// A host starts it in a directory of its own.
process.env.TS_NODE_PROJECT = join(__dirname, "..", "..", "..", "tsconfig.json");
require("ts-node/register/transpile-only");
const { readCommandLine } = require("../../../plugin-server/config/command-line");
const { createLog } = require("../../../plugin-server/log");
const { createLocalKeyProvider } = require("../../../plugin-server/providers/local-key");
const { runPlugin } = require("../../../plugin-server/run-plugin");

const { config } = readCommandLine(process.argv.slice(2));
const local = createLocalKeyProvider(config);
const changed = `${config.keyFile}.changed`;
const keyId = () => (existsSync(changed) ? `${local.keyId}:${readFileSync(changed, "utf8")}` : local.keyId);
const provider = {
  statusVersion: local.statusVersion,
  description: local.description,
  get keyId() {
    return keyId();
  },
  open: (signal) => local.open(signal),
  encrypt: async (plaintext, call) => ({ ...(await local.encrypt(plaintext, call)), keyId: keyId() }),
  decrypt: (input, call) => local.decrypt({ ...input, keyId: input.keyId.replace(/:.*$/, "") }, call),
  probe: (signal) => local.probe(signal),
  close: () => local.close(),
};

const plugin = runPlugin(config, [provider], { log: createLog(config.operation.log, process.stderr), version: "test" });
process.on("SIGTERM", () => void plugin.then((running) => running.stop()).then(() => process.exit(0)));

/** Preloaded into mocha's workers: how long each test file took, as a line of JSON in the file that test/run.mjs names. */
const { appendFileSync } = require("node:fs");
const { basename } = require("node:path");

let begun = 0;

exports.mochaHooks = {
  beforeAll() {
    begun = Date.now();
  },
  afterAll() {
    const [first] = this.test.parent.suites;
    const file = basename(first?.file ?? "", ".test.ts");
    const seconds = Math.round((Date.now() - begun) / 1_000);
    if (process.env.KMS_ETCD_TEST_TIMES)
      appendFileSync(process.env.KMS_ETCD_TEST_TIMES, `${JSON.stringify({ file, seconds })}\n`);
  },
};

/** Gets the publisher's models into the cache, so that tests which may not get anything use them: `test/run.mjs` does it first of all. */
import { loadSecondOpinion } from "./second-opinion";

loadSecondOpinion("required").catch((thrown: unknown) => {
  process.stderr.write(`error: Azure's management models can't be had: ${String(thrown)}\n`);
  process.exitCode = 1;
});

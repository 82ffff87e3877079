/** Puts the bundle into what `npm pack` packs. */
import { describeError } from "../../core/errors";
import { buildBundle, packageRoot } from "./build-bundle";
import { writePackedBundle } from "./packed-bundle";

const project = packageRoot();
buildBundle(project)
  .then((packed) => writePackedBundle(project, packed))
  .catch((error: unknown) => {
    process.stderr.write(`pack-bundle: ${describeError(error)}\n`);
    process.exit(1);
  });

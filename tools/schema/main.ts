/** Writes provider/schema.json from the components. Run it after a change of a public input, output or its comment. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectDirectory } from "../project-directory";
import { packageSchema } from "./package-schema";

const project = projectDirectory();
writeFileSync(join(project, "provider", "schema.json"), `${JSON.stringify(packageSchema(project), undefined, 2)}\n`);

/**
 * `npm run pictures`: draws the documents' pictures again from the captured output beside them. Nothing in a picture is made up:
 * text comes from a run's terminal, the dashboard from what Prometheus answered in `test/full/observability.test.ts`
 * (`KMS_ETCD_DASHBOARD_RECORD=docs/pictures/dashboard-run.json`).
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectDirectory } from "../project-directory";
import { documentPictures } from "./document-pictures";

const folder = join(projectDirectory(), "docs", "pictures");
for (const [name, svg] of documentPictures(folder)) writeFileSync(join(folder, name), svg);

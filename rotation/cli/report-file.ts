/** `--report FILE --sign-with KEY`: everything that can go wrong with either is found before the cluster is touched. */
import { constants } from "node:fs";
import { access, open } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { KmsEtcdError } from "../../core/errors";
import { sealPayload } from "../report/envelope";
import { type RotationReport, reportText } from "../report/report";
import { readSigningKeyFile } from "../report/signing-key-file";
import { UsageError } from "./usage-error";

export interface ReportFlags {
  readonly report?: string;
  /** A private key in PEM form. */
  readonly signWith?: string;
}

export interface ReportFile {
  readonly path: string;
  /** Of the key that it is signed with; undefined where it is not. */
  readonly keyId: string | undefined;
  /** Makes the file. Throws `conflict` where one has come to be there. */
  write(report: RotationReport): Promise<void>;
}

/** Undefined where no report is wanted. */
export async function prepareReport({ report, signWith }: ReportFlags): Promise<ReportFile | undefined> {
  if (report === undefined) {
    if (signWith === undefined) return undefined;
    throw new UsageError([{ path: "--sign-with", reason: "is given without --report; name the file to write" }]);
  }
  const path = resolve(report);
  await refuseExisting(path);
  await access(dirname(path), constants.W_OK).catch((thrown: unknown) => {
    throw cannot("be written", path, thrown);
  });
  const key = signWith === undefined ? undefined : await readSigningKeyFile(signWith);
  return {
    path,
    keyId: key?.keyId,
    write: async (content) => {
      const text = `${JSON.stringify(sealPayload(reportText(content), key), undefined, 2)}\n`;
      // wx: a report that is there is someone's evidence.
      const handle = await open(path, "wx").catch((thrown: unknown) => {
        throw cannot("be written", path, thrown);
      });
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
    },
  };
}

async function refuseExisting(path: string): Promise<void> {
  const exists = await access(path).then(
    () => true,
    () => false,
  );
  if (!exists) return;
  throw new KmsEtcdError("conflict", `${path} is there already`, { remedy: "name a new file: reports are kept" });
}

function cannot(what: string, path: string, thrown: unknown): KmsEtcdError {
  const code = (thrown as NodeJS.ErrnoException).code ?? String(thrown);
  return new KmsEtcdError("not-found", `${path} cannot ${what} (${code})`, { cause: thrown });
}

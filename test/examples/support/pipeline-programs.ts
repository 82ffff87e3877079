/** The programs that the pipelines' scripts call, beside bash, curl and jq: what they may say to each, and no more. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const programs = {
  npm: `test "$*" = ci`,
  // Credentials are asked for by name, so that a variable that a pipeline forgets shows.
  pulumi: `test "$*" = "preview --stack production --non-interactive --json" -a -n "$PULUMI_ACCESS_TOKEN" || exit 2
cat "$PREVIEW_FILE"
exit "$PREVIEW_CODE"`,
  npx: `test "$1" = kms-etcd || exit 127
shift
code=$(printf '%s\\n' "$@" | curl --silent --data-binary @- --output "$TMPDIR/answer" --write-out '%{http_code}' "$SERVICES/kms-etcd")
cat "$TMPDIR/answer"
exit $((code - 210))`,
  az: `test "$*" = "account show --query id --output tsv" && echo 6b7ac6c1-7f0d-4c0d-9d0e-3f6f9a5c2f11`,
  gh: `test "$1" = api -a -n "$GH_TOKEN" || exit 2
shift
method=GET filter=. data=() path=
while [ $# -gt 0 ]; do
  case "$1" in
    --paginate | --silent) ;;
    --method) method=$2; shift ;;
    --jq) filter=$2; shift ;;
    --field) jq --raw-input --slurp "{\${2%%=*}: .}" "\${2#*=@}" > "$TMPDIR/gh"; data=(--data-binary "@$TMPDIR/gh"); shift ;;
    -*) exit 2 ;;
    *) path=$1 ;;
  esac
  shift
done
curl --fail --silent --show-error --request "$method" --header "Authorization: token $GH_TOKEN" "\${data[@]}" "$SERVICES/$path" \\
  | jq --raw-output "$filter"
exit "\${PIPESTATUS[0]}"`,
} as const;

/** @returns the folder, for PATH. */
export function writePipelinePrograms(directory: string): string {
  const folder = join(directory, "bin");
  mkdirSync(folder);
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(folder, name), `#!/usr/bin/env bash\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}

/**
 * One pass over all Secrets as a shell script, for the pod in which AKS runs commands: it has kubectl and awk. The Secrets' contents stay in
 * kubectl; what is printed is counts, and names with reasons where something went wrong.
 */

/** How many Secrets one kubectl takes: the pod has half a processor. */
const batch = 50;
/** What is printed of each kind of trouble. AKS cuts the output at 512 kB. */
const mostLines = 20;

/**
 * The table of all Secrets is made by the API server and has no contents in it. An empty merge patch makes the API server store an object
 * again if it is not stored as it would store it now; kubectl says whether it was. A Secret that is deleted meanwhile is nobody's loss; that
 * a vault does not find its key (KeyNotFound) is a failure.
 */
export const rewriteScript = `
set -u
work=$(mktemp -d) && cd "$work" || exit 1
if ! kubectl get secrets --all-namespaces --no-headers >all 2>trouble; then
  cat trouble
  exit 1
fi
awk '
  $1 != namespace || count >= ${batch} { if (count > 0) print namespace names; namespace = $1; names = ""; count = 0 }
  { names = names " " $2; count += 1 }
  END { if (count > 0) print namespace names }
' all >batches
: >said; : >trouble
while read -r namespace names; do
  kubectl patch secret $names --namespace "$namespace" --type merge --patch '{}' --request-timeout 60s >>said 2>>trouble </dev/null
done <batches
awk '
  FILENAME == "all" { offered += 1; next }
  FILENAME == "said" { said += 1; if (!/\\(no change\\)$/) rewritten += 1; next }
  /^Warning:/ { next }
  /^Error from server \\(NotFound\\): (secrets|namespaces) ".*" not found$/ { gone += 1; next }
  NF > 0 { failed += 1; if (failed <= ${mostLines}) print "kms-etcd failed " $0 }
  END {
    missing = offered - said - gone - failed
    if (missing > 0) {
      failed += missing
      print "kms-etcd failed kubectl said nothing about " missing " Secrets: it may have been ended"
    }
    print "kms-etcd offered=" offered + 0, "rewritten=" rewritten + 0, "gone=" gone + 0, "failed=" failed + 0
  }
' all said trouble
rm -rf "$work"
`.trim();

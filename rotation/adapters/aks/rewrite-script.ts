/**
 * One pass over all Secrets as a shell script, for the pod in which AKS runs commands: it has kubectl and awk. The Secrets' contents stay in
 * kubectl; what is printed is counts, names of the Secrets that were stored again where they are few, and names with reasons where something
 * went wrong.
 */

/** How many Secrets one kubectl takes: the pod has half a processor. */
const batch = 50;
/** Each kubectl has a connection of its own, which one API server answers: so few Secrets are spread over so many of them. */
const fewestBatches = 24;
/** What is printed of each kind. AKS cuts the output at 512 kB. */
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
  NR == FNR { size = int((NR - 1) / ${fewestBatches}) + 1; if (size > ${batch}) size = ${batch}; next }
  $1 != namespace || count >= size { if (count > 0) print namespace names; namespace = $1; names = ""; count = 0 }
  { names = names " " $2; count += 1 }
  END { if (count > 0) print namespace names }
' all all >batches
: >said; : >trouble
while read -r namespace names; do
  echo "in $namespace" >>said
  kubectl patch secret $names --namespace "$namespace" --type merge --patch '{}' --request-timeout 60s >>said 2>>trouble </dev/null
done <batches
awk '
  FILENAME == "all" { offered += 1; next }
  FILENAME == "said" && $1 == "in" { namespace = $2; next }
  FILENAME == "said" { said += 1 }
  FILENAME == "said" && !/\\(no change\\)$/ { rewritten += 1; if (rewritten <= ${mostLines}) again[rewritten] = namespace "/" substr($1, 8) }
  FILENAME == "said" { next }
  /^Warning:/ { next }
  /^Error from server \\(NotFound\\): (secrets|namespaces) ".*" not found$/ { gone += 1; next }
  NF > 0 { failed += 1; if (failed <= ${mostLines}) print "kms-etcd failed " $0 }
  END {
    missing = offered - said - gone - failed
    if (missing > 0) {
      failed += missing
      print "kms-etcd failed kubectl said nothing about " missing " Secrets: it may have been ended"
    }
    if (rewritten <= ${mostLines}) for (i = 1; i <= rewritten; i += 1) print "kms-etcd rewritten " again[i]
    print "kms-etcd offered=" offered + 0, "rewritten=" rewritten + 0, "gone=" gone + 0, "failed=" failed + 0
  }
' all said trouble
rm -rf "$work"
`.trim();

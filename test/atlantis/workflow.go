package atlantis

import (
	"os"
	"path/filepath"
	"testing"
)

// terraformVersion is what the stub says it is.
const terraformVersion = "1.9.8"

// stubTerraform stands in the PATH of Atlantis, which asks a terraform for its version when it starts and before it runs
// a workflow. No step calls it for anything else.
const stubTerraform = `#!/bin/sh
case "$1" in
version | --version | -version) echo "Terraform v` + terraformVersion + `" ;;
*)
	echo "this stub of terraform knows its version only, not: $*" >&2
	exit 1
	;;
esac
`

// workflow is a server-side repository configuration. A plan leaves a plan file, as terraform does; an apply uses it up. A
// file "gate" beside a project names another file: the plan waits until that one is gone.
const workflow = `repos:
- id: /.*/
  workflow: stub
workflows:
  stub:
    plan:
      steps:
      - run: while test -f gate && test -e "$(cat gate)"; do sleep 0.05; done
      - run: echo "planned $REPO_REL_DIR of pull request $PULL_NUM" && cat *.tf > "$PLANFILE"
    apply:
      steps:
      - run: test -s "$PLANFILE" && rm "$PLANFILE" && echo "applied $REPO_REL_DIR of pull request $PULL_NUM"
`

// writeWorkflow puts both into a directory.
func writeWorkflow(t testing.TB, dir string) (config, programs string) {
	t.Helper()
	config, programs = filepath.Join(dir, "repos.yaml"), filepath.Join(dir, "bin")
	if err := os.Mkdir(programs, 0o755); err != nil {
		t.Fatalf("write workflow: %v", err)
	}
	if err := os.WriteFile(config, []byte(workflow), 0o600); err != nil {
		t.Fatalf("write workflow: %v", err)
	}
	if err := os.WriteFile(filepath.Join(programs, "terraform"), []byte(stubTerraform), 0o755); err != nil {
		t.Fatalf("write workflow: %v", err)
	}
	return config, programs
}

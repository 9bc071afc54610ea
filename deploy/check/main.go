// Check reads what deploys redflag by the code that will read it in earnest: Docker's parser of Dockerfiles, the loader of
// Docker Compose, and the types of Kubernetes, KEDA's trigger and the Prometheus operator, strictly: a field that nobody
// knows is a mistake, as `kubectl apply --validate=strict` would say.
package main

import (
	"fmt"
	"os"
)

const usage = `usage: check dockerfile FILE       parse it, and print its RUN, CMD and HEALTHCHECK instructions as JSON
       check compose FILE [PROFILE...]    load the project with the environment of .env beside it, and print it as JSON
       check kubernetes < MANIFESTS       decode every document by the type that its kind names, and print it as JSON
`

func main() {
	if len(os.Args) < 2 {
		fail(2, usage)
	}
	var err error
	switch command := os.Args[1]; {
	case command == "dockerfile" && len(os.Args) == 3:
		err = printDockerfile(os.Args[2])
	case command == "compose" && len(os.Args) >= 3:
		err = printCompose(os.Args[2], os.Args[3:])
	case command == "kubernetes" && len(os.Args) == 2:
		err = decodeManifests(os.Stdin)
	default:
		fail(2, usage)
	}
	if err != nil {
		fail(1, fmt.Sprintf("check: %v\n", err))
	}
}

func fail(status int, words string) {
	fmt.Fprint(os.Stderr, words)
	os.Exit(status)
}

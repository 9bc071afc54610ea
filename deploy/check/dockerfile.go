package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// stage is what of a stage can be run elsewhere.
type stage struct {
	Name        string      `json:"name"`
	Base        string      `json:"base"`
	Run         []string    `json:"run"`
	User        string      `json:"user"`
	Entrypoint  []string    `json:"entrypoint"`
	Command     []string    `json:"cmd"`
	Healthcheck []string    `json:"healthcheck"`
	Labels      [][2]string `json:"labels"`
}

// printDockerfile parses a file as BuildKit does; its linter's warnings are mistakes.
func printDockerfile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	parsed, err := parser.Parse(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	warnings := 0
	warn := func(rule, description, url, message string, _ []parser.Range) {
		warnings++
		fmt.Fprintf(os.Stderr, "%s: %s: %s (%s)\n", path, rule, message, url)
	}
	stages, _, err := instructions.Parse(parsed.AST, linter.New(&linter.Config{Warn: warn}))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if warnings > 0 {
		return fmt.Errorf("%s: %d warnings", path, warnings)
	}
	described := make([]stage, len(stages))
	for i := range stages {
		described[i] = describe(&stages[i])
	}
	return json.NewEncoder(os.Stdout).Encode(described)
}

func describe(from *instructions.Stage) stage {
	found := stage{Name: from.Name, Base: from.BaseName}
	for _, command := range from.Commands {
		switch command := command.(type) {
		case *instructions.RunCommand:
			found.Run = append(found.Run, runText(command))
		case *instructions.UserCommand:
			found.User = command.User
		case *instructions.EntrypointCommand:
			found.Entrypoint = command.CmdLine
		case *instructions.CmdCommand:
			found.Command = command.CmdLine
		case *instructions.HealthCheckCommand:
			found.Healthcheck = command.Health.Test
		case *instructions.LabelCommand:
			for _, label := range command.Labels {
				found.Labels = append(found.Labels, [2]string{label.Key, label.Value})
			}
		}
	}
	return found
}

// runText is the text of a RUN, be it a line or a here-document.
func runText(command *instructions.RunCommand) string {
	if len(command.Files) > 0 {
		return command.Files[0].Data
	}
	return command.CmdLine[0]
}

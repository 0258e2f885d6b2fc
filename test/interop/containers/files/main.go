// Reads the Dockerfile as BuildKit does, with its linter, and the Compose file as Compose does; says what is wrong, and fails.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

func dockerfile(path string) (problems []string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	for _, warning := range parsed.Warnings {
		problems = append(problems, warning.Short)
	}
	warn := func(rule, description, url, message string, location []parser.Range) {
		problems = append(problems, rule+": "+message)
	}
	_, _, err = instructions.Parse(parsed.AST, linter.New(&linter.Config{Warn: warn}))
	return problems, err
}

// compose says which services there are, each with what it waits for.
func compose(path string) ([]string, error) {
	options, err := cli.NewProjectOptions([]string{path})
	if err != nil {
		return nil, err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return nil, err
	}
	var services []string
	for _, name := range project.ServiceNames() {
		service := project.Services[name]
		services = append(services, name)
		for other, condition := range service.DependsOn {
			services = append(services, fmt.Sprintf("%s after %s is %s", name, other, condition.Condition))
		}
		if service.HealthCheck != nil {
			services = append(services, fmt.Sprintf("%s is asked by %q", name, service.HealthCheck.Test[:2]))
		}
	}
	return services, nil
}

func main() {
	problems, err := dockerfile(os.Args[1])
	var services []string
	if err == nil {
		services, err = compose(os.Args[2])
	}
	if err != nil || len(problems) > 0 {
		fmt.Fprintln(os.Stderr, problems, err)
		os.Exit(1)
	}
	for _, service := range services {
		fmt.Println(service)
	}
}

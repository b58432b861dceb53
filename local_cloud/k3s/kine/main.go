// kine, with its arguments on standard input, one a line: the datastore's password is among them, and everybody on a
// machine can read a process's arguments.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"context"

	"github.com/k3s-io/kine/pkg/app"
)

func main() {
	arguments := []string{"kine"}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		arguments = append(arguments, lines.Text())
	}
	if err := app.New().Run(arguments); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "kine:", err)
		os.Exit(1)
	}
}

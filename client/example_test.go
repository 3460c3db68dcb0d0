package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
)

func Example() {
	c, err := client.New(client.Options{TokenFile: "/atlantis-data/admin.token"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	status, err := c.Status(ctx)
	var unreachable *client.Unreachable
	switch {
	case errors.As(err, &unreachable):
		fmt.Println("no sidecar at", unreachable.URL)
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println(status.Mode, status.Legacy.Records)
	}
}

package redisstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// checkID refuses what cannot stand in a head as the id of a sidecar.
func checkID(id string) error {
	switch {
	case id == "":
		return errors.New("the id of a sidecar is wanted")
	case strings.ContainsAny(id, ", \t\r\n"):
		return fmt.Errorf("the id of a sidecar has no comma or space in it: %q", id)
	}
	return nil
}

// splitIDs reads the ids that a head admits.
func splitIDs(admitted string) []string {
	return slices.DeleteFunc(strings.Split(admitted, ","), func(id string) bool { return id == "" })
}

func joinIDs(ids []string) string { return strings.Join(ids, ",") }

// union is all ids, each once, in order; nil if there are none.
func union(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	if all = slices.Compact(all); len(all) == 0 {
		return nil
	}
	return all
}

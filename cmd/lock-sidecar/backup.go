package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

func newBackup(o Options) *cobra.Command {
	var admin adminFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a checked copy of atlantis.db to FILE while the sidecar runs",
		Long: "Write a checked copy of atlantis.db to FILE while the sidecar runs. The copy is the whole database at one\n" +
			"moment: Atlantis or a sidecar can be started on it. It holds the tokens of clone URLs, so keep it as safe as\n" +
			"atlantis.db. FILE appears only when the copy is whole and on the disk; an existing FILE is never replaced.\n" +
			"Exit code 0: done, 3: not possible, 4: FILE is there.",
		Args: backupFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel, c, err := admin.connect(cmd, o)
			if err != nil {
				return err
			}
			defer cancel()
			done, err := saveBackup(args[0], func(w io.Writer) error {
				_, err := c.Backup(ctx, w)
				return err
			})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(o.Stdout, done)
			}
			return printf(o.Stdout, "%s: %d bytes, %s, checked\n", done.File, done.Bytes, plural(done.Records, "record", "records"))
		},
	}
	admin.register(cmd, 10*time.Minute)
	admin.registerToken(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func backupFile(_ *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return exit(codeUsage, errors.New("name one file for the backup: `lock-sidecar backup FILE`"))
	}
	return nil
}

// saved is a backup that is done.
type saved struct {
	File    string `json:"file"`
	Bytes   int64  `json:"bytes"`
	Records int    `json:"records"`
}

// saveBackup lets receive write the file. It has another name until it is
// whole, checked and on the disk; that name also keeps a second backup to the
// same file out.
func saveBackup(file string, receive func(io.Writer) error) (done saved, err error) {
	if _, err := os.Lstat(file); err == nil {
		return saved{}, exit(codeRefused, fmt.Errorf("%s exists and is not replaced; name another file or move it away", file))
	}
	partial := file + ".partial"
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return saved{}, exit(codeRefused, fmt.Errorf("%s exists: another backup to this file runs or was killed; "+
			"if none runs, remove it and try again", partial))
	case err != nil:
		return saved{}, exit(codeFailed, fmt.Errorf("write backup: %w", err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(partial))
		}
	}()
	if err := receiveSynced(f, receive); err != nil {
		return saved{}, err
	}
	if done, err = checkBackup(partial); err != nil {
		return saved{}, exit(codeFailed, fmt.Errorf("check backup: %w; nothing was written, try again", err))
	}
	if err := moveSynced(partial, file); err != nil {
		return saved{}, exit(codeFailed, fmt.Errorf("write backup: %w", err))
	}
	done.File = file
	return done, nil
}

func receiveSynced(f *os.File, receive func(io.Writer) error) error {
	if err := receive(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return exit(codeFailed, fmt.Errorf("write backup: %w", err))
	}
	return nil
}

// moveSynced renames, and sees to it that the new name survives a crash.
func moveSynced(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

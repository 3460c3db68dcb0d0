package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lock-sidecar/lock-sidecar/enhanced/embedded"
	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/legacy"
)

const (
	// leastFree is what a commit may need (a file grows by 1 MiB) with what stands
	// beside it, and goodFree lets a team work for months.
	leastFree, goodFree = 4 << 20, 64 << 20
	// maxCopy is how large a copy of atlantis.db is looked at in memory.
	maxCopy = 256 << 20
)

// files looks at the data directory. One that is not there is made by serve.
func (e *examination) files(ctx context.Context) {
	dir := e.Config.Sidecar.DataDir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.sound = true
		return
	case err == nil && !info.IsDir():
		err = errors.New("it is no directory")
	}
	e.checked("files", "directory")
	if err != nil {
		e.add(Error, "files", Finding{
			Check: "directory", What: fmt.Sprintf("The data directory %s cannot be used: %v", dir, withoutPath(err)),
			Why: "serve cannot open atlantis.db in it.", Mend: "ls -ld " + dir,
		})
		return
	}
	e.writable(dir, info)
	e.space(dir)
	held := []string{legacy.FileName}
	if e.Config.Locking.Backend == config.BackendEmbedded {
		held = append(held, embedded.FileName)
	}
	for _, name := range append(held, filepath.Base(e.Config.AdminTokenFile())) {
		e.readable(filepath.Join(dir, name), info)
	}
	for _, name := range held {
		e.database(ctx, filepath.Join(dir, name))
	}
}

// writable makes a file and removes it, as every start and every note does.
func (e *examination) writable(dir string, info fs.FileInfo) {
	e.checked("files", "writable")
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	if err == nil {
		return
	}
	uid := os.Geteuid()
	e.add(Error, "files", Finding{
		Check: "writable", What: fmt.Sprintf("uid %d cannot write in %s%s: %v", uid, dir, belongsTo(info), withoutPath(err)),
		Why: "No lock can be kept.", Mend: fmt.Sprintf("chown %d %s   # or run as the user that Atlantis runs as", uid, dir),
	})
}

// space looks whether locks fit on the disk.
func (e *examination) space(dir string) {
	free, inodes, ok := freeSpace(dir)
	if !ok {
		e.unknown("free space", "this system does not tell")
		return
	}
	e.checked("files", "space")
	f := Finding{
		Check: "space", What: fmt.Sprintf("The disk of %s has %d MiB left", dir, free>>20),
		Why: "On a full disk atlantis.db takes no lock, and every plan is refused where it answers.", Mend: "df -h " + dir,
	}
	if inodes == 0 {
		f.What, f.Mend = fmt.Sprintf("The disk of %s has no inode left", dir), "df -i "+dir
	}
	switch {
	case free < leastFree || inodes == 0:
		e.add(Error, "files", f)
	case free < goodFree:
		e.add(Warning, "files", f)
	}
}

// readable looks at owner and mode of a file that holds secrets.
func (e *examination) readable(path string, dir fs.FileInfo) {
	info, err := os.Lstat(path)
	if err != nil {
		return // none yet, or the directory says why not
	}
	e.checked("files", "owner of "+filepath.Base(path), "mode of "+filepath.Base(path))
	uid := os.Geteuid()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		err = f.Close()
	}
	want := uid
	if owner, ok := ownerOf(dir); ok && uid == 0 {
		want = owner // root may do everything, whoever else works here may not
	}
	owner, known := ownerOf(info)
	strange := uid == 0 && want != 0 && known && owner != want
	if errors.Is(err, fs.ErrPermission) || strange {
		e.add(Error, "files", Finding{
			Check: "owner", What: fmt.Sprintf("uid %d cannot use %s%s, mode %s", want, path, belongsTo(info), info.Mode().Perm()),
			Why:  "Sidecar and Atlantis must run as the same user, or one cannot open what the other made.",
			Mend: fmt.Sprintf("chown %d %s", want, path),
		})
	}
	if info.Mode().Perm()&0o007 != 0 { // not the group's: kubelet sets them on a volume with an fsGroup
		e.add(Warning, "files", Finding{
			Check: "mode", What: fmt.Sprintf("Every user of this machine can use %s, mode %s", path, info.Mode().Perm()),
			Why: "It holds the tokens of clone URLs, or that of the admin API.", Mend: "chmod 600 " + path,
		})
	}
}

// database looks whether a file is whole and free to be opened. That the sidecar
// holds it is as it should be: then its copy is looked at.
func (e *examination) database(ctx context.Context, path string) {
	name := filepath.Base(path)
	_, err := os.Stat(path)
	none := errors.Is(err, fs.ErrNotExist)
	if !none {
		err = boltfile.Examine(path)
	}
	if name == legacy.FileName {
		e.sound = none || err == nil
	}
	switch {
	case none:
		return
	case errors.Is(err, boltfile.ErrHeld) && e.status != nil:
		e.checked("files", "holder of "+name)
		if name == legacy.FileName {
			e.copied(ctx)
		}
		return
	case errors.Is(err, fs.ErrPermission):
		return // readable says that
	}
	e.checked("files", "holder of "+name, "integrity of "+name)
	switch {
	case errors.Is(err, boltfile.ErrHeld):
		f := Finding{
			Check: "holder", What: sentence(err), Why: "serve waits for it, and does not start.",
			Mend: "fuser -v " + path + "   # an Atlantis needs --locking-db-type=redis; a sidecar is asked at --admin-listen",
		}
		e.add(Error, "files", f)
	case errors.Is(err, boltfile.ErrDamaged):
		e.damaged(sentence(err))
	case err != nil:
		e.add(Error, "files", Finding{Check: "integrity", What: sentence(err), Why: "serve cannot open it either.", Mend: "ls -l " + path})
	}
}

func (e *examination) damaged(what string) {
	e.add(Error, "files", Finding{
		Check: "integrity", What: what, Why: "serve refuses a damaged file, and so would Atlantis: locks may be missing.",
		Mend: "Stop all that uses it and put a backup in its place (`lock-sidecar backup` makes them)",
	})
}

// copied checks a copy of atlantis.db that the sidecar makes, in memory.
func (e *examination) copied(ctx context.Context) {
	if !e.status.Legacy.Healthy {
		return // said already
	}
	var pages limited
	switch _, err := e.Sidecar.Backup(ctx, &pages); {
	case errors.Is(err, errTooLarge):
		e.unknown("integrity of atlantis.db", fmt.Sprintf("it has more than %d MiB: `lock-sidecar backup FILE` checks it", maxCopy>>20))
	case err != nil:
		e.unknown("integrity of atlantis.db", "the sidecar made no copy: "+err.Error())
	default:
		e.checked("files", "integrity of "+legacy.FileName)
		if err := boltfile.Check(bytes.NewReader(pages.b.Bytes()), int64(pages.b.Len())); err != nil {
			e.damaged("The copy that the sidecar made of atlantis.db is damaged: " + err.Error())
		}
	}
}

var errTooLarge = errors.New("too large")

// limited is a buffer that takes maxCopy bytes.
type limited struct{ b bytes.Buffer } // not embedded: its ReadFrom knows no limit

var _ io.Writer = (*limited)(nil)

func (l *limited) Write(p []byte) (int, error) {
	if l.b.Len()+len(p) > maxCopy {
		return 0, errTooLarge
	}
	return l.b.Write(p)
}

// belongsTo is ", which belongs to uid 0", or "".
func belongsTo(info fs.FileInfo) string {
	if owner, ok := ownerOf(info); ok {
		return fmt.Sprintf(", which belongs to uid %d", owner)
	}
	return ""
}

// withoutPath takes the path out of an error whose sentence names it already.
func withoutPath(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// sentence begins an error with a capital.
func sentence(err error) string {
	text := []rune(err.Error())
	if len(text) > 0 && text[0] >= 'a' && text[0] <= 'z' {
		text[0] -= 'a' - 'A'
	}
	return string(text)
}

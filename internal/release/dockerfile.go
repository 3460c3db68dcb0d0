package release

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// Recipe is what a Dockerfile says of the image that it makes: everything but the compiler's part. It is read from
// there, so that an image that is made without a builder can't differ from one that is made with one.
type Recipe struct {
	User       string
	Workdir    string
	Volumes    []string
	Entrypoint []string
	Cmd        []string
	Labels     map[string]string
	// Root are the directories and links that the build stage makes under /image.
	Root []File
	// Copies are the paths of the build stage that the image has, by their place in it.
	Copies map[string]string
}

// ReadDockerfile reads a Dockerfile of two stages, of which the last is from scratch. args are those of the build.
// An instruction that it does not know is an error.
func ReadDockerfile(r io.Reader, args map[string]string) (*Recipe, error) {
	recipe := &Recipe{Labels: map[string]string{}, Copies: map[string]string{}}
	stage := ""
	for line, err := range instructions(r) {
		if err != nil {
			return nil, err
		}
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case word == "FROM":
			stage = strings.Fields(strings.TrimPrefix(rest, "--platform=$BUILDPLATFORM "))[0]
		case stage != "scratch" && word == "RUN" && strings.HasPrefix(rest, "mkdir "):
			err = recipe.commands(rest)
		case stage == "scratch":
			err = recipe.instruction(word, rest, args)
		}
		if err != nil {
			return nil, fmt.Errorf("read Dockerfile: %s: %w", line, err)
		}
	}
	if stage != "scratch" || len(recipe.Entrypoint) == 0 {
		return nil, fmt.Errorf("read Dockerfile: it does not end with an image from scratch that has an entry point")
	}
	return recipe, nil
}

// instructions joins continued lines and leaves out comments.
func instructions(r io.Reader) func(yield func(string, error) bool) {
	return func(yield func(string, error) bool) {
		lines, joined := bufio.NewScanner(r), ""
		for lines.Scan() {
			text := strings.TrimSpace(lines.Text())
			if text == "" || strings.HasPrefix(text, "#") {
				continue
			}
			before, continued := strings.CutSuffix(text, "\\")
			joined += before
			if continued {
				continue
			}
			if !yield(joined, nil) {
				return
			}
			joined = ""
		}
		if err := lines.Err(); err != nil {
			yield("", fmt.Errorf("read Dockerfile: %w", err))
		}
	}
}

func (r *Recipe) instruction(word, rest string, args map[string]string) error {
	switch word {
	case "ARG": // its value is that of the build
	case "LABEL":
		name, quoted, _ := strings.Cut(rest, "=")
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return fmt.Errorf("a label is name=\"value\": %w", err)
		}
		for arg, given := range args {
			value = strings.ReplaceAll(value, "${"+arg+"}", given)
		}
		r.Labels[name] = value
	case "COPY":
		fields := strings.Fields(rest)
		if len(fields) != 3 || !strings.HasPrefix(fields[0], "--from=") {
			return fmt.Errorf("expected COPY --from=STAGE FROM TO")
		}
		r.Copies[fields[2]] = fields[1]
	case "USER":
		r.User = rest
	case "WORKDIR":
		r.Workdir = rest
	case "VOLUME":
		r.Volumes = append(r.Volumes, strings.Fields(rest)...)
	case "ENTRYPOINT":
		return json.Unmarshal([]byte(rest), &r.Entrypoint)
	case "CMD":
		return json.Unmarshal([]byte(rest), &r.Cmd)
	default:
		return fmt.Errorf("%s is not known here", word)
	}
	return nil
}

// commands does what mkdir, ln and chown do under /image.
func (r *Recipe) commands(line string) error {
	for command := range strings.SplitSeq(line, "&&") {
		words := strings.Fields(command)
		bad := fmt.Errorf("%q is not known here", strings.TrimSpace(command))
		if len(words) != 4 {
			return bad
		}
		path, inImage := strings.CutPrefix(words[3], "/image/")
		i := slices.IndexFunc(r.Root, func(f File) bool { return f.Path == path })
		switch kind := words[0] + " " + words[1]; {
		case !inImage:
			return bad
		case kind == "mkdir -m":
			mode, err := strconv.ParseUint(words[2], 8, 12)
			if err != nil {
				return bad
			}
			r.Root = append(r.Root, File{Path: path, Mode: fs.ModeDir | fs.FileMode(mode)})
		case kind == "ln -s":
			r.Root = append(r.Root, File{Path: path, Mode: 0o777, Link: words[2]})
		case kind == "chown -R" && i >= 0:
			user, group, _ := strings.Cut(words[2], ":")
			uid, err := strconv.Atoi(user)
			gid, err2 := strconv.Atoi(group)
			if err != nil || err2 != nil {
				return bad
			}
			r.Root[i].UID, r.Root[i].GID = uid, gid
		default:
			return bad
		}
	}
	return nil
}

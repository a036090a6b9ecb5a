using System;
using System.Collections.Generic;
using System.Windows.Forms;

namespace Skinnybox.Windows
{
    /// <summary>The pool's space by the size of an overlay: asked for once each, when nobody types any more.</summary>
    internal sealed class SpaceReader
    {
        private readonly Dictionary<long, Space> known = new Dictionary<long, Space>();
        private readonly HashSet<long> asked = new HashSet<long>();
        private readonly Timer typing = new Timer { Interval = 400 };
        private readonly Control window;
        private readonly Pool pool;
        private readonly Action news;
        private readonly Action<Exception> failed;
        private long wanted;

        public SpaceReader(Control window, Pool pool, Action news, Action<Exception> failed)
        {
            this.window = window;
            this.pool = pool;
            this.news = news;
            this.failed = failed;
            typing.Tick += (sender, nothing) => Ask();
        }

        public void Keep(long overlay, Space space)
        {
            known[overlay] = space;
        }

        /// <summary>Null until it is known: then `news` is called.</summary>
        public Space For(long overlay)
        {
            Space found;
            if (!known.TryGetValue(overlay, out found))
            {
                wanted = overlay;
                typing.Stop();
                typing.Start();
            }
            return found;
        }

        private void Ask()
        {
            typing.Stop();
            long overlay = wanted;
            if (asked.Add(overlay))
            {
                Background.Run(
                    window,
                    () => new Space(pool, overlay),
                    space =>
                    {
                        Keep(overlay, space);
                        news();
                    },
                    error =>
                    {
                        asked.Remove(overlay);
                        failed(error);
                    });
            }
        }
    }
}

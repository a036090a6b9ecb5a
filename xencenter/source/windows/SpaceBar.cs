using System;
using System.Drawing;
using System.Windows.Forms;

namespace Skinnybox.Windows
{
    /// <summary>A storage as a bar: what is used, what this order takes, what it may take when every overlay is full.</summary>
    internal sealed class SpaceBar : Control
    {
        private const int Least = 2;
        private Preview preview;

        public SpaceBar()
        {
            DoubleBuffered = true;
            Height = 18;
            AccessibleRole = AccessibleRole.Graphic;
        }

        public void Show(Preview shown)
        {
            preview = shown;
            AccessibleName = shown == null ? "" : shown.SpaceLine;
            Invalidate();
        }

        protected override void OnPaint(PaintEventArgs painting)
        {
            base.OnPaint(painting);
            Graphics canvas = painting.Graphics;
            canvas.FillRectangle(SystemBrushes.Window, ClientRectangle);
            if (preview != null && preview.Room != null && preview.Room.Capacity > 0)
            {
                Room room = preview.Room;
                float used = Width * Share(room.Capacity - room.Free, room.Capacity);
                float full = Part(room.EachFull * preview.Count, room.Capacity);
                float now = Part(room.Each * preview.Count, room.Capacity);
                Fill(canvas, Look.Used, 0, used);
                Fill(canvas, Look.Later, used, full);
                Fill(canvas, preview.Problem == "" ? Look.Accent : Look.Wrong, used, now);
            }
            canvas.DrawRectangle(SystemPens.ControlDark, 0, 0, Width - 1, Height - 1);
        }

        private void Fill(Graphics canvas, Color colour, float from, float width)
        {
            using (var brush = new SolidBrush(colour))
            {
                canvas.FillRectangle(brush, from, 0, Math.Min(width, Width - from), Height);
            }
        }

        /// <summary>Pixels; what there is at all is seen.</summary>
        private float Part(long bytes, long capacity)
        {
            return Math.Max(Least, Width * Share(bytes, capacity));
        }

        private static float Share(long bytes, long capacity)
        {
            return Math.Max(0f, Math.Min(1f, (float)bytes / capacity));
        }
    }
}

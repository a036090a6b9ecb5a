using System.Drawing;
using System.Windows.Forms;

namespace Skinnybox.Windows
{
    /// <summary>The few colours and fonts; all others are the system's, so that high contrast stays high.</summary>
    internal static class Look
    {
        public static readonly Color Accent = Color.FromArgb(0x0f, 0x76, 0x6e);
        public static readonly Color Later = Color.FromArgb(0x99, 0xd5, 0xcd);
        public static readonly Color Used = Color.FromArgb(0x9a, 0xa5, 0xb1);
        public static readonly Color Wrong = Color.FromArgb(0xb4, 0x23, 0x18);
        public static readonly Color Warning = Color.FromArgb(0x92, 0x5b, 0x00);

        public static Color Quiet
        {
            get { return SystemColors.ControlDarkDark; }
        }

        public static Font Plain
        {
            get { return SystemFonts.MessageBoxFont; }
        }

        public static Font Large
        {
            get { return new Font(Plain.FontFamily, Plain.Size * 1.5f); }
        }

        /// <summary>Wraps at the width of what it stands in. Never takes "&amp;" for a key: texts come from the pool.</summary>
        public static Label Text(int width)
        {
            return new Label
            {
                AutoSize = true, MaximumSize = new Size(width, 0), UseMnemonic = false, Margin = new Padding(3, 4, 3, 4)
            };
        }
    }
}
